//! The `resnetc` command: only sets the exit code.

fn main() -> std::process::ExitCode {
    resnetc::internal::cli::main()
}
