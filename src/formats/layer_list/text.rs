//! The text of a network, and places in it.

use std::ops::Range;
use std::path::Path;

use super::error::{LayerProblem, LayersError};
use super::imported::ImportedLayers;
use crate::base::mmap::Bytes;
use crate::base::source::{FileId, SourceMap, Span};
use crate::syntax::TextError;

/// A text.
pub(in super::super) struct Text {
    sources: SourceMap,
    file: FileId,
}

impl Text {
    /// From the contents of a file.
    pub fn new(name: &str, bytes: &[u8]) -> Result<Text, LayersError> {
        let text = std::str::from_utf8(bytes).map_err(|_| LayersError::NoText)?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut sources = SourceMap::default();
        let file = sources.add_text(name, text);
        Ok(Text { sources, file })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.sources.file(self.file).text
    }

    /// The place of these bytes.
    pub fn span(&self, range: &Range<usize>) -> Span {
        Span::new(self.file, range.clone())
    }

    /// The line of a byte, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.place(at).0
    }

    fn place(&self, at: usize) -> (usize, usize) {
        self.sources.line_column(self.file, u32::try_from(at).unwrap_or(u32::MAX))
    }

    /// An error at a byte.
    pub fn error(&self, at: usize, message: impl Into<String>) -> LayersError {
        let (line, column) = self.place(at);
        LayersError::At { line, column, message: message.into() }
    }

    /// The error of a parser.
    pub fn syntax(&self, error: TextError) -> LayersError {
        self.error(error.at, error.message)
    }

    /// What is wrong with a layer that begins at a byte.
    pub fn problem(&self, at: usize, layer: String, reason: String) -> LayerProblem {
        LayerProblem { line: self.line(at), layer, reason }
    }
}

/// Imports the contents of a text, and those of a file of weights, whose path is for messages.
type Read = fn(&[u8], Option<(&Path, &Bytes)>) -> Result<ImportedLayers, LayersError>;

/// Opens a text, and the file of weights that belongs to it.
pub(in super::super) fn opened(file: &Path, weights: Option<&Path>, read: Read) -> Result<ImportedLayers, LayersError> {
    let text = bytes(file)?;
    let weights = weights.map(|path| Ok((path, bytes(path)?))).transpose()?;
    read(&text, weights.as_ref().map(|(path, bytes)| (*path, bytes)))
}

fn bytes(path: &Path) -> Result<Bytes, LayersError> {
    Bytes::map(path).map_err(|source| LayersError::Io { path: path.to_owned(), source })
}
