//! Runs the binary.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Run {
    /// Everything, for snapshots.
    pub(crate) fn all(&self) -> String {
        format!("exit code {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// Stops the test with everything printed when the exit code is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.all());
        self
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap()
    }
}

/// Runs `ringfence` in a directory, so that messages name short paths.
pub(crate) fn ringfence(directory: &Path, args: &[&str]) -> Run {
    ringfence_with_input(directory, args, b"")
}

/// Runs `ringfence` with something on standard input.
pub(crate) fn ringfence_with_input(directory: &Path, args: &[&str], input: &[u8]) -> Run {
    use std::io::Write;
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(args)
        .current_dir(directory)
        .env_remove("RUST_BACKTRACE")
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that fails early does not read its input.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Run {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

/// The small cluster of the scenarios.
pub(crate) fn town() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/town")
}

/// The top of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A copy of the small cluster with additions, in a directory of its own.
pub(crate) struct Town(tempfile::TempDir);

impl Town {
    /// The cluster as it is.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for file in ["cluster.yaml", "flows.jsonl"] {
            std::fs::copy(town().join(file), directory.path().join(file)).unwrap();
        }
        Self(directory)
    }

    /// Adds objects to the cluster.
    pub(crate) fn with(self, objects: &str) -> Self {
        let file = self.0.path().join("cluster.yaml");
        let cluster = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, format!("{cluster}---\n{objects}")).unwrap();
        self
    }

    /// Replaces text in the cluster, which must be there.
    pub(crate) fn replacing(self, from: &str, to: &str) -> Self {
        let file = self.0.path().join("cluster.yaml");
        let cluster = std::fs::read_to_string(&file).unwrap();
        assert!(cluster.contains(from), "{from}");
        std::fs::write(file, cluster.replace(from, to)).unwrap();
        self
    }

    /// Adds connections to the flow log: client address, server address, protocol, port, how many.
    pub(crate) fn talking(self, flows: &[(&str, &str, &str, u16, u64)]) -> Self {
        let file = self.0.path().join("flows.jsonl");
        let mut log = std::fs::read_to_string(&file).unwrap();
        for (source, destination, protocol, port, opened) in flows {
            let record = serde_json::json!({
                "version": 1, "start": "2026-03-02T08:00:00Z", "end": "2026-03-02T08:59:59Z",
                "observer": {"node": "n1", "side": "client"}, "protocol": protocol,
                "source": {"ip": source}, "destination": {"ip": destination, "port": port},
                "connections": {"opened": opened},
            });
            log += &format!("{record}\n");
        }
        std::fs::write(file, log).unwrap();
        self
    }

    /// Writes the `spec` of a review to `review.yaml`.
    pub(crate) fn reviewed(self, spec: &str) -> Self {
        let header =
            "apiVersion: ringfence.dev/v1alpha1\nkind: Review\nmetadata: {name: test}\nspec:\n";
        std::fs::write(self.0.path().join("review.yaml"), format!("{header}{spec}")).unwrap();
        self
    }

    /// Writes a file beside the cluster.
    pub(crate) fn writing(self, name: &str, text: &str) -> Self {
        std::fs::write(self.0.path().join(name), text).unwrap();
        self
    }

    /// Explains a connection over the cluster.
    pub(crate) fn explain(&self, args: &[&str]) -> Run {
        ringfence(self.0.path(), &[&["explain", "--cluster", "cluster.yaml"], args].concat())
    }

    /// Runs a command over cluster and flows, and over the review when there is one.
    pub(crate) fn run(&self, command: &str, args: &[&str]) -> Run {
        let mut all = vec![command, "--cluster", "cluster.yaml", "--flows", "flows.jsonl"];
        if self.0.path().join("review.yaml").exists() {
            all.extend(["--review", "review.yaml"]);
        }
        all.extend(args);
        ringfence(self.0.path(), &all)
    }

    /// Generates for namespace `front`; the certificate.
    pub(crate) fn certificate(&self, code: i32) -> serde_json::Value {
        self.run("generate", &["-n", "front", "-o", "out"]).expect(code);
        self.written_certificate()
    }

    /// The certificate of the last generation into `out`.
    pub(crate) fn written_certificate(&self) -> serde_json::Value {
        let text = std::fs::read_to_string(self.0.path().join("out/certificate.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// A generated policy, after [`Town::certificate`].
    pub(crate) fn policy(&self, name: &str) -> String {
        let file = self.0.path().join(format!("out/policies/front/{name}.yaml"));
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Whether there is a generated policy of this name.
    pub(crate) fn has_policy(&self, name: &str) -> bool {
        self.0.path().join(format!("out/policies/front/{name}.yaml")).exists()
    }
}
