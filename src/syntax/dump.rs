//! The tree as text, for `--emit ast`.

use super::ast::File;

/// todo
pub fn dump(_file: &File) -> String {
    String::new()
}
