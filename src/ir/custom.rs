//! Operators that the program around this crate gives, not the language: tests use them for what no operator of the language does
//! yet. A custom operator has no gradient, no statement, and no form in a file.

use std::fmt;
use std::sync::Arc;

use super::{ShapeError, TensorType};

/// What an operator does. Its parts must agree: [`Custom::run`] computes in the elements' types what [`Custom::evaluate`] defines.
pub trait Custom: fmt::Debug + Send + Sync {
    /// Its name in dumps and messages.
    fn word(&self) -> &'static str;

    /// The types of its results, at least one, from those of its operands.
    fn infer(&self, operands: &[TensorType]) -> Result<Vec<TensorType>, ShapeError>;

    /// For an operator that begins counted rows: the slot of the operand with their counts, one i32 per sample.
    fn counts(&self) -> Option<usize> {
        None
    }

    /// The results by definition, for the reference interpreter: all elements of each, in order.
    fn evaluate(&self, operands: &[Reference<'_>]) -> Vec<Vec<f64>>;

    /// Computes the results. `chunk` is set in a loop over counted rows ([`super::RowLoop`]): a value with counted rows then holds
    /// those of the chunk. An operator that begins rows fills up what it writes with zeros. One that collects rows
    /// is called for each chunk with the same results, and sets them up in the first.
    fn run(&self, operands: &[Slice<'_>], results: &mut [SliceMut<'_>], chunk: Option<&Chunk<'_>>);
}

/// A value in the reference interpreter.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'a> {
    /// Its sizes, rows first.
    pub shape: &'a [usize],
    /// Its elements.
    pub data: &'a [f64],
    /// The number of rows of each sample, if they are counted.
    pub counts: Option<&'a [usize]>,
}

/// Elements of a value that an operator reads.
#[derive(Clone, Copy, Debug)]
pub enum Slice<'a> {
    /// 32-bit floating point.
    F32(&'a [f32]),
    /// Signed, 64 bits.
    I64(&'a [i64]),
    /// Signed, 32 bits.
    I32(&'a [i32]),
}

/// Elements of a value that an operator writes.
#[derive(Debug)]
pub enum SliceMut<'a> {
    /// 32-bit floating point.
    F32(&'a mut [f32]),
    /// Signed, 64 bits.
    I64(&'a mut [i64]),
    /// Signed, 32 bits.
    I32(&'a mut [i32]),
}

/// The rows of one round of a loop over counted rows.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The number of rows of each sample.
    pub counts: &'a [usize],
    /// The first row of the chunk, counted over all samples.
    pub start: usize,
    /// How many rows it has; 0 only if there are none at all.
    pub rows: usize,
}

impl Chunk<'_> {
    /// The rows of the chunk: for each, its sample, and its number among the sample's rows.
    pub fn rows(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        let all = self.counts.iter().enumerate().flat_map(|(sample, &count)| (0..count).map(move |row| (sample, row)));
        all.skip(self.start).take(self.rows)
    }
}

/// A [`Custom`] operator as an operator of a graph. Two are equal if they are the same object.
#[derive(Clone, Debug)]
pub struct CustomOp(pub Arc<dyn Custom>);

impl PartialEq for CustomOp {
    fn eq(&self, other: &CustomOp) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
