-- Times are nanoseconds since 1970-01-01T00:00:00Z. An absent namespace is ''.

CREATE TABLE cluster (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    -- From the first to the last observation among its edges.
    first_seen INTEGER,
    last_seen INTEGER,
    -- From which minute (since 1970) its edges are kept by the minute, by the hour and at all.
    minutes_from INTEGER NOT NULL,
    hours_from INTEGER NOT NULL,
    days_from INTEGER NOT NULL,
    -- 1 while an import of it is not finished.
    importing INTEGER NOT NULL
) STRICT;

-- The namespaces at the two ends of edges. Buckets are ordered by them, so that those of one namespace lie together.
CREATE TABLE pair (
    id INTEGER PRIMARY KEY,
    cluster INTEGER NOT NULL REFERENCES cluster,
    source TEXT NOT NULL,
    destination TEXT NOT NULL,
    UNIQUE (cluster, source, destination)
) STRICT;

-- What stands at the end of an edge. The kind is 'node', 'host', 'alias', 'service', 'workload/' with its kind, or
-- 'address/' with its class.
CREATE TABLE peer (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (kind, namespace, name)
) STRICT;

-- The Service ports dialled, as namespace/name:port, sorted, with spaces between.
CREATE TABLE route (
    id INTEGER PRIMARY KEY,
    services TEXT NOT NULL UNIQUE
) STRICT;

-- Who talks to whom over what, by which Service ports.
CREATE TABLE edge (
    id INTEGER PRIMARY KEY,
    pair INTEGER NOT NULL REFERENCES pair,
    source INTEGER NOT NULL REFERENCES peer,
    destination INTEGER NOT NULL REFERENCES peer,
    protocol TEXT NOT NULL,
    port INTEGER NOT NULL,
    own_node INTEGER NOT NULL,
    route INTEGER NOT NULL REFERENCES route,
    -- The last day (since 1970) with a bucket of it.
    last_day INTEGER NOT NULL DEFAULT -200000,
    UNIQUE (source, destination, pair, protocol, port, own_node, route)
) STRICT;
CREATE INDEX edge_destination ON edge (destination);
CREATE INDEX edge_route ON edge (route);
CREATE INDEX edge_pair ON edge (pair);
CREATE INDEX edge_last_day ON edge (last_day);

-- What was counted of an edge, by the minute, the hour and the day (since 1970). Each arrival is added to all three.
CREATE TABLE edges_by_minute (
    cluster INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    pair INTEGER NOT NULL,
    edge INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    alone_opened INTEGER NOT NULL,
    alone_refused INTEGER NOT NULL,
    alone_denied INTEGER NOT NULL,
    alone_sent INTEGER NOT NULL,
    alone_received INTEGER NOT NULL,
    client_opened INTEGER NOT NULL,
    client_refused INTEGER NOT NULL,
    client_denied INTEGER NOT NULL,
    client_sent INTEGER NOT NULL,
    client_received INTEGER NOT NULL,
    server_opened INTEGER NOT NULL,
    server_refused INTEGER NOT NULL,
    server_denied INTEGER NOT NULL,
    server_sent INTEGER NOT NULL,
    server_received INTEGER NOT NULL,
    PRIMARY KEY (cluster, bucket, pair, edge)
) STRICT, WITHOUT ROWID;

CREATE TABLE edges_by_hour (
    cluster INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    pair INTEGER NOT NULL,
    edge INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    alone_opened INTEGER NOT NULL,
    alone_refused INTEGER NOT NULL,
    alone_denied INTEGER NOT NULL,
    alone_sent INTEGER NOT NULL,
    alone_received INTEGER NOT NULL,
    client_opened INTEGER NOT NULL,
    client_refused INTEGER NOT NULL,
    client_denied INTEGER NOT NULL,
    client_sent INTEGER NOT NULL,
    client_received INTEGER NOT NULL,
    server_opened INTEGER NOT NULL,
    server_refused INTEGER NOT NULL,
    server_denied INTEGER NOT NULL,
    server_sent INTEGER NOT NULL,
    server_received INTEGER NOT NULL,
    PRIMARY KEY (cluster, bucket, pair, edge)
) STRICT, WITHOUT ROWID;

CREATE TABLE edges_by_day (
    cluster INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    pair INTEGER NOT NULL,
    edge INTEGER NOT NULL,
    first_seen INTEGER NOT NULL,
    last_seen INTEGER NOT NULL,
    alone_opened INTEGER NOT NULL,
    alone_refused INTEGER NOT NULL,
    alone_denied INTEGER NOT NULL,
    alone_sent INTEGER NOT NULL,
    alone_received INTEGER NOT NULL,
    client_opened INTEGER NOT NULL,
    client_refused INTEGER NOT NULL,
    client_denied INTEGER NOT NULL,
    client_sent INTEGER NOT NULL,
    client_received INTEGER NOT NULL,
    server_opened INTEGER NOT NULL,
    server_refused INTEGER NOT NULL,
    server_denied INTEGER NOT NULL,
    server_sent INTEGER NOT NULL,
    server_received INTEGER NOT NULL,
    PRIMARY KEY (cluster, bucket, pair, edge)
) STRICT, WITHOUT ROWID;

-- Where flows come from, and what became of the records.
CREATE TABLE source (
    id INTEGER PRIMARY KEY,
    cluster INTEGER NOT NULL REFERENCES cluster,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    incarnation INTEGER NOT NULL DEFAULT 0,
    sequence INTEGER NOT NULL DEFAULT 0,
    last INTEGER NOT NULL DEFAULT -9223372036854775808,
    received INTEGER NOT NULL DEFAULT 0,
    stored INTEGER NOT NULL DEFAULT 0,
    duplicate INTEGER NOT NULL DEFAULT 0,
    UNIQUE (cluster, kind, name)
) STRICT;

CREATE TABLE source_dropped (
    source INTEGER NOT NULL REFERENCES source ON DELETE CASCADE,
    reason TEXT NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (source, reason)
) STRICT, WITHOUT ROWID;

-- How far each incarnation of a source came, so that an old one that speaks again is recognised.
CREATE TABLE source_incarnation (
    id INTEGER PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES source ON DELETE CASCADE,
    incarnation INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    UNIQUE (source, incarnation)
) STRICT;

CREATE TABLE object (
    id INTEGER PRIMARY KEY,
    cluster INTEGER NOT NULL REFERENCES cluster,
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    uid TEXT NOT NULL,
    UNIQUE (cluster, kind, namespace, name, uid)
) STRICT;

-- An object as it was from a moment until another; until 9223372036854775807 as far as known.
CREATE TABLE object_version (
    id INTEGER PRIMARY KEY,
    object INTEGER NOT NULL REFERENCES object ON DELETE CASCADE,
    cluster INTEGER NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    deleted INTEGER NOT NULL,
    -- JSON, compressed with zstd, with a checksum.
    document BLOB NOT NULL,
    UNIQUE (object, since)
) STRICT;
CREATE INDEX object_version_until ON object_version (cluster, until);

CREATE TABLE review (
    cluster INTEGER NOT NULL REFERENCES cluster,
    namespace TEXT NOT NULL,
    version INTEGER NOT NULL,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    note TEXT NOT NULL,
    -- Compressed with zstd, with a checksum.
    yaml BLOB NOT NULL,
    PRIMARY KEY (cluster, namespace, version)
) STRICT;

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
