//! The command `resnetc`, run as a person would.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a run left behind.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `resnetc` in the repository's folder.
pub fn resnetc(args: &[&str]) -> Ran {
    let output = Command::new(env!("CARGO_BIN_EXE_resnetc"))
        .args(args)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Ran {
    /// The run went well.
    pub fn fine(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// The input was refused, with these words, and without a panic.
    pub fn refused(self, words: &str) -> Ran {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        assert!(self.err.contains(words), "`{words}` is not in: {}", self.err);
        self
    }
}

/// The folder of weights and images that the repository does not carry; says so where it is not set.
pub fn test_data(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("RESNETC_TEST_DATA").map(PathBuf::from).filter(|p| p.is_dir());
    if data.is_none() {
        // not by a macro, whose output a passing test would swallow
        let line = format!("{test}: skipped, RESNETC_TEST_DATA is not set\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    data
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
