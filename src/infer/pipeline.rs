//! From images to class probabilities: preprocessing in worker threads while the network runs, and results in order.

use std::ops::ControlFlow;

use ndarray::{ArrayViewD, IxDyn};

use super::scores::{rows, softmax};
use super::{Event, InferError, NotFiniteScores, PREFETCH, Prefetch};
use crate::data::{Input, Pixels, PrepareError, default_preprocess, prepare};
use crate::ir::{Dim, Op, Preprocess, Shape, ShapedNetwork};
use crate::runtime::{NotFinite, Session};

/// How a network reads images, and what its output means.
#[derive(Clone, Debug)]
pub struct ImagePipeline {
    /// The input's name.
    input: String,
    /// The input's shape.
    pub shape: Shape,
    /// The preprocessing of images.
    pub preprocess: Preprocess,
    /// Whether the network ends in a softmax, so that its output needs none.
    pub ends_in_softmax: bool,
}

impl ImagePipeline {
    /// The pipeline of a network, which must read one image. Without a `preprocess`, values go from 0 to 1.
    pub fn new(checked: &ShapedNetwork) -> Result<ImagePipeline, InferError> {
        let graph = checked.graph();
        let [id] = graph.inputs() else { return Err(InferError::SeveralInputs) };
        let shape = checked.shape(*id).clone();
        if shape.dims().is_none_or(|dims| dims.len() != 3) {
            return Err(InferError::NotAnImage(shape.to_string()));
        }
        let preprocess = checked.network.preprocess.clone().unwrap_or_else(|| default_preprocess(shape.channels().unwrap_or(3)));
        let ends_in_softmax = graph.outputs().first().is_some_and(|(_, v)| matches!(graph.node(v.node).op, Op::Softmax(None)));
        Ok(ImagePipeline { input: graph.node(*id).name.clone(), shape, preprocess, ends_in_softmax })
    }

    /// Preprocesses an image.
    pub fn prepare(&self, pixels: Pixels) -> Result<Input, PrepareError> {
        prepare(pixels, &self.preprocess, &self.shape)
    }

    /// The height and width of prepared images where the network leaves them free; `None` where they are the image's.
    pub fn free_size(&self) -> Option<[Option<usize>; 2]> {
        let [_, h, w] = self.shape.dims()? else { return None };
        let size = |dim: &Dim, axis: usize| match dim {
            Dim::Fixed(_) => Some(None),
            Dim::Free { .. } => self.preprocess.crop.map(|crop| Some(crop[axis])),
        };
        Some([size(h, 0)?, size(w, 1)?])
    }

    /// The network's output for prepared images of one size: a row of scores for each. They are probabilities if the network ends in
    /// a softmax. A map of scores is averaged.
    pub fn scores(&self, session: &mut Session, images: &[&[f32]], size: [usize; 3]) -> Result<Vec<Vec<f32>>, InferError> {
        let values = images.concat();
        let shape = IxDyn(&[images.len(), size[0], size[1], size[2]]);
        let outputs = session.run(&[(&self.input, ArrayViewD::from_shape(shape, &values)?)])?;
        rows(outputs.main())
    }

    /// Why the output for a prepared image is not finite.
    pub fn first_not_finite(
        &self,
        session: &mut Session,
        image: &[f32],
        size: [usize; 3],
    ) -> Result<Option<NotFinite>, InferError> {
        let shape = IxDyn(&[1, size[0], size[1], size[2]]);
        Ok(session.first_not_finite(&[(&self.input, ArrayViewD::from_shape(shape, image)?)])?)
    }

    /// The class probabilities of a prepared image.
    pub fn probabilities(
        &self,
        session: &mut Session,
        (values, size): &Input,
    ) -> Result<Result<Vec<f32>, NotFiniteScores>, InferError> {
        let scores = self.scores(session, &[values], *size)?.pop().unwrap_or_default();
        let probabilities = if self.ends_in_softmax { scores } else { softmax(&scores) };
        if probabilities.iter().all(|p| p.is_finite()) {
            return Ok(Ok(probabilities));
        }
        let cause = self.first_not_finite(session, values, *size)?;
        Ok(Err(NotFiniteScores { cause }))
    }

    /// Runs on `count` images one by one, as worker threads `read` and preprocess them, and passes each one's index and class
    /// probabilities to `each`, in order. An image is a batch of its own, so that its probabilities do not depend on the others.
    pub fn run<R: Send, E: From<InferError>>(
        &self,
        session: &mut Session,
        count: usize,
        read: impl Fn(usize) -> Result<Input, R> + Sync,
        mut each: impl FnMut(usize, Result<Vec<f32>, Unanswered<R>>) -> Result<(), E>,
    ) -> Result<(), E> {
        let prefetch = Prefetch { range: 0..count, workers: session.threads(), depth: PREFETCH };
        prefetch.run(read, |event| {
            match event {
                Event::Started => {
                    if let Some(size) = self.free_size() {
                        session.prepare(1, size).map_err(InferError::Run)?;
                    }
                }
                Event::Sample(index, Err(why)) => each(index, Err(Unanswered::Unread(why)))?,
                Event::Sample(index, Ok(input)) => {
                    each(index, self.probabilities(session, &input)?.map_err(Unanswered::NotFinite))?;
                }
            }
            Ok(ControlFlow::Continue(()))
        })
    }
}

/// Why an image has no class probabilities.
#[derive(Clone, Debug)]
pub enum Unanswered<R> {
    /// It cannot be read or preprocessed.
    Unread(R),
    /// The network's scores are not finite.
    NotFinite(NotFiniteScores),
}
