//! Statements in the notation of PyTorch, Keras, Darknet and Caffe: what to write in their place.

mod advice;
mod assignment;
mod call;
mod files;
mod keys;
mod notation;
mod python;
mod sizes;

pub(super) use advice::Advice;
pub(super) use files::{arm, is_in_section, kind, nested, option, section};
pub(super) use notation::{item, notation};
pub(super) use python::respelled;
