//! ONNX: networks out, and in.
//!
//! [`write()`] exports a checked network; [`read()`] imports a file as a graph and its tensors. A file that comes in is not trusted: its
//! structure is weighed before it is decoded, sizes are checked before memory is taken, data outside of the file is taken from its own
//! folder alone, and all that the language cannot say is one report.

mod error;
mod export;
mod import;
mod limits;
pub mod proto;

pub use error::{OnnxError, Unsupported, UnsupportedRow};
pub use export::{ExportError, ExportOptions, Exported, FIRST_OPSET, LAST_OPSET, Source, write};
pub use import::{Imported, ReadOptions, open, read, read_tensor};
