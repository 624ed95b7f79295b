//! Each pass a file: `Checked` to `Checked`.
