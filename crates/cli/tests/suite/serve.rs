//! `ringfence serve` and what belongs to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::harness::{Run, ringfence};

/// A server in a process of its own, with the URL that it printed.
struct Served {
    child: Child,
    stdout: BufReader<ChildStdout>,
    address: String,
}

impl Served {
    fn start(directory: &Path, args: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
            .args([&["serve", "--listen", "127.0.0.1:0"], args].concat())
            .current_dir(directory)
            .env("TMPDIR", directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut url = String::new();
        stdout.read_line(&mut url).unwrap();
        let address = url.trim().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        Self { child, stdout, address }
    }

    /// The body of an answer with status 200.
    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let host = &self.address;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
        body.to_owned()
    }

    /// Asks it to stop, and waits until it has.
    fn stop(mut self) -> Run {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut stdout = String::new();
        self.stdout.read_to_string(&mut stdout).unwrap();
        let output = self.child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        Run { stdout, stderr, code: output.status.code().unwrap() }
    }
}

#[test]
fn an_export_of_the_demo_generates_what_the_api_does() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path(), &["--demo"]);
    let from_api = served.get("/api/v1/clusters/example/policies.yaml?namespace=shop");
    let demo = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap();
    let store = demo.path().join("demo.db");
    let run = |args: &[&str]| ringfence(directory.path(), args).expect(0);
    run(&["export", "--store", store.to_str().unwrap(), "-o", "out"]);
    run(&["backup", "--store", store.to_str().unwrap(), "-o", "backup.db"]);
    let stopped = served.stop().expect(0);
    assert!(stopped.stderr.contains("everything taken in is stored"), "{}", stopped.stderr);
    assert!(!demo.path().exists(), "the demo leaves nothing behind");

    let generated = |from: &str| {
        let (cluster, flows, review) = (
            format!("{from}/cluster"),
            format!("{from}/edges.jsonl"),
            format!("{from}/reviews/shop.yaml"),
        );
        let args = ["--cluster", &cluster, "--flows", &flows, "--review", &review, "-n", "shop"];
        run(&[&["generate"], &args[..]].concat()).stdout
    };
    assert_eq!(generated("out"), from_api);
    // The same from the backup, by way of a file and another store.
    run(&["export", "--store", "backup.db", "-o", "out.tar.zst"]);
    run(&["import", "--store", "new.db", "out.tar.zst"]);
    run(&["export", "--store", "new.db", "-o", "again"]);
    assert_eq!(generated("again"), from_api);
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let directory = tempfile::tempdir().unwrap();
    let serve = |args: &[&str]| ringfence(directory.path(), &[&["serve"], args].concat()).expect(2);
    let open = serve(&["--listen", "0.0.0.0:0", "--store", "a.db"]);
    insta::assert_snapshot!(open.stderr, @"
    error: the configuration has 2 faults
      listen: 0.0.0.0:0 can be reached from outside, and there is no TLS
        hint: give tls.certificate and tls.key, or listen on 127.0.0.1
      listen: 0.0.0.0:0 can be reached from outside, and nobody has to log in
        hint: give authentication.tokens (see ringfence token) or authentication.oidc, or listen on 127.0.0.1
    ");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let taken = serve(&["--listen", &address, "--store", "a.db"]);
    assert!(taken.stderr.contains(&format!("cannot listen on {address}")), "{}", taken.stderr);
    assert!(taken.stderr.contains("hint: choose another address"), "{}", taken.stderr);
    std::fs::write(directory.path().join("bad.db"), [b'x'; 8192]).unwrap();
    let damaged = serve(&["--listen", "127.0.0.1:0", "--store", "bad.db"]);
    assert!(damaged.stderr.contains("hint: restore a backup"), "{}", damaged.stderr);
}

#[test]
fn check_config_lists_what_is_wrong() {
    let directory = tempfile::tempdir().unwrap();
    let check = |text: &str| {
        std::fs::write(directory.path().join("server.yaml"), text).unwrap();
        ringfence(directory.path(), &["serve", "--config", "server.yaml", "--check-config"])
    };
    insta::assert_snapshot!(check("store: a.db\n").expect(0).stdout, @"the configuration is fine");
    let faulty = check("listen: everywhere\nclusters:\n- name: A\n").expect(2);
    insta::assert_snapshot!(faulty.stderr, @r#"
    error: the configuration has 2 faults
      server.yaml:1: listen: "everywhere" is not an address and port, such as 127.0.0.1:8470
      server.yaml:3: clusters.name: "A" is not a name: 1 to 253 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit
    "#);
    let missing =
        check("tls: {certificate: a.crt, key: a.key}\nauthentication: {tokens: t.yaml}\n")
            .expect(2);
    assert!(missing.stderr.contains("cannot read the certificate a.crt"), "{}", missing.stderr);
    assert!(missing.stderr.contains("cannot read the tokens of t.yaml"), "{}", missing.stderr);
    assert!(!directory.path().join("a.db").exists(), "checking opens nothing");
}

#[test]
fn agents_are_asked_of_a_server_that_runs() {
    let directory = tempfile::tempdir().unwrap();
    let served = Served::start(directory.path(), &["--store", "a.db"]);
    let url = format!("http://{}", served.address);
    let agents = |args: &[&str]| {
        ringfence(directory.path(), &[&["agents"], args, &["--server", &url]].concat())
    };
    assert_eq!(agents(&["list"]).expect(0).stdout, "CLUSTER  NODE  ENROLLED  CERTIFICATE ENDS\n");
    assert_eq!(
        agents(&["token", "--cluster", "prod"]).expect(2).stderr.replace(&url, "URL"),
        "error: URL does not do it: this server has no TLS, so that no agent can enrol\n  \
         hint: give tls.certificate and tls.key in the configuration\n"
    );
    served.stop().expect(0);
    let outside = ["agents", "list", "--server", "http://192.0.2.1:8470"];
    assert_eq!(
        ringfence(directory.path(), &outside).expect(2).stderr,
        "error: \"http://192.0.2.1:8470\" is not https://, and not on this machine\n"
    );
}

#[test]
fn a_token_goes_into_the_file_and_its_secret_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let made = ringfence(directory.path(), &["token", "ci", "--role", "editor"]).expect(0);
    let secret = made.stderr.split_whitespace().find(|word| word.starts_with("rf_")).unwrap();
    assert!(!made.stdout.contains(secret));
    std::fs::write(directory.path().join("tokens.yaml"), format!("tokens:\n{}", made.stdout))
        .unwrap();
    let config = "store: a.db\nauthentication: {tokens: tokens.yaml}\n";
    std::fs::write(directory.path().join("server.yaml"), config).unwrap();
    ringfence(directory.path(), &["serve", "--config", "server.yaml", "--check-config"]).expect(0);
    ringfence(directory.path(), &["token", "ci", "--role", "root"]).expect(2);
}
