-- Who reported an edge in a bucket, and who watched its ends: four bits each for those that reported, those at the
-- client's end and those at the server's, from the lowest an agent by eBPF, an agent by connection tracking, Hubble, a
-- flow log.
ALTER TABLE edges_by_minute ADD COLUMN observers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE edges_by_hour ADD COLUMN observers INTEGER NOT NULL DEFAULT 0;
ALTER TABLE edges_by_day ADD COLUMN observers INTEGER NOT NULL DEFAULT 0;

-- From when until when a source observed, by what ('ebpf' or 'conntrack'), and what it could not see, a line each.
CREATE TABLE presence (
    source INTEGER NOT NULL REFERENCES source ON DELETE CASCADE,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    observer TEXT NOT NULL,
    blind TEXT NOT NULL,
    PRIMARY KEY (source, since)
) STRICT, WITHOUT ROWID;

-- What a source lost, by the hour (since 1970) and reason.
CREATE TABLE loss (
    source INTEGER NOT NULL REFERENCES source ON DELETE CASCADE,
    hour INTEGER NOT NULL,
    reason TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (source, hour, reason)
) STRICT, WITHOUT ROWID;
