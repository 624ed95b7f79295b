//! ONNX export and import.
//!
//! [`write()`] exports a checked network; [`read()`] imports a file as a graph and its tensors. Files are not trusted: the size of the structure
//! is limited before it is decoded, sizes are checked before memory is allocated, and external data is only read from the folder of the file.
//! Everything that the language cannot express is reported at once.

mod activations;
mod error;
mod export;
mod import;
mod limits;
pub mod proto;

pub use error::{OnnxError, Unsupported, UnsupportedRow};
pub use export::{ExportError, ExportOptions, Exported, FIRST_OPSET, LAST_OPSET, Source, write};
pub use import::{Imported, ReadOptions, open, open_with, read, read_tensor};
