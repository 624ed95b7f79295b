//! The command `resnetc`: the exit code, nothing else.

fn main() -> std::process::ExitCode {
    resnetc::cli::main()
}
