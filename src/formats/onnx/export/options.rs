//! Options of the export.

/// The oldest supported opset: the first one whose `Shape` has `start` and `end`, and whose `BatchNormalization` has today's form.
pub const FIRST_OPSET: i64 = 15;
/// The newest supported opset: that of ONNX 1.23.
pub const LAST_OPSET: i64 = 28;

/// Options of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// The opset version, from [`FIRST_OPSET`] to [`LAST_OPSET`].
    pub opset: i64,
    /// Fold batch norms into the convolutions before them, and drop identities.
    pub fold: bool,
    /// Store weights in an external data file. This is always done if a single file would exceed 2 GB.
    pub external_data: bool,
}

impl Default for ExportOptions {
    fn default() -> ExportOptions {
        ExportOptions { opset: 17, fold: false, external_data: false }
    }
}
