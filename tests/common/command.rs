//! Runs the command `resnetc` like a user.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The result of a run.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `resnetc` in the root of the repository.
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
    /// Asserts success.
    pub fn fine(self) -> Ran {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self
    }

    /// Asserts that the input was rejected with these words, without a panic.
    pub fn refused(self, words: &str) -> Ran {
        assert_eq!(self.code, 1, "{}{}", self.out, self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        assert!(self.err.contains(words), "`{words}` is not in: {}", self.err);
        self
    }
}

/// The folder with weights and images that are not in the repository. Prints a message if it is not set.
pub fn test_data(test: &str) -> Option<PathBuf> {
    let data = std::env::var_os("RESNETC_TEST_DATA").map(PathBuf::from).filter(|p| p.is_dir());
    if data.is_none() {
        // not with `eprintln!`, whose output is captured in passing tests
        let line = format!("{test}: skipped, RESNETC_TEST_DATA is not set\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    data
}

/// A path as an argument.
pub fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}
