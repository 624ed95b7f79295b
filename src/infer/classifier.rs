//! Image in, named classes out.

use std::path::Path;

use thiserror::Error;

use super::{BoundNetwork, Image, ImagePipeline, InferError, LoadError, NotFiniteScores, PixelsError, Unanswered, top_k};
#[cfg(feature = "image")]
use crate::data::ImageError;
use crate::data::{Pixels, PrepareError};
use crate::runtime::{Model, RunError, Session, SessionOptions};

/// Classifies images: preprocessing, the network, softmax, and the names of the classes.
///
/// See the public [`Classifier`](crate::Classifier).
pub struct Classifier {
    session: Session,
    pipeline: ImagePipeline,
}

/// A class, and how probable it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The class's name; where the network has no labels, its index.
    pub class: String,
    /// The class's index.
    pub index: usize,
    /// From 0 to 1.
    pub probability: f32,
}

/// Why images cannot be classified.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClassifyError {
    /// The network or its weights cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The network does not read one image, or a run failed.
    #[error(transparent)]
    Infer(#[from] InferError),
    /// Nothing states how images become the network's input.
    #[error("network `{network}` has no `preprocess`, which states how images become its input")]
    NoPreprocess {
        /// The network.
        network: String,
    },
    /// The output is not a vector of scores, one for each class.
    #[error("network `{network}` returns {shape}, not a vector of scores")]
    NotScores {
        /// The network.
        network: String,
        /// The output's shape.
        shape: String,
    },
    /// An image that cannot be read.
    #[cfg(feature = "image")]
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Pixels that are no image.
    #[error(transparent)]
    Pixels(#[from] PixelsError),
    /// An image that cannot be preprocessed.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The network's scores are NaN or infinite.
    #[error(transparent)]
    NotFinite(#[from] NotFiniteScores),
}

impl From<RunError> for ClassifyError {
    fn from(error: RunError) -> ClassifyError {
        InferError::Run(error).into()
    }
}

impl Classifier {
    /// Loads an artifact (`.rnx`), or a source (`.resnet`) that names its weights. For one of several networks, or for other weights,
    /// use [`compile`](crate::compile) and [`Classifier::new`].
    ///
    /// # Errors
    /// The file or its weights cannot be read, or see [`Classifier::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Classifier, ClassifyError> {
        Classifier::new(BoundNetwork::open(path.as_ref())?.model()?)
    }

    /// A classifier that uses as many threads as the process may.
    ///
    /// # Errors
    /// The network does not read one image, has no `preprocess`, or returns something else than a vector of scores.
    pub fn new(model: Model) -> Result<Classifier, ClassifyError> {
        Classifier::with_options(model, SessionOptions::default())
    }

    /// As [`Classifier::new`], with the given number of threads and instruction set.
    pub fn with_options(model: Model, options: SessionOptions) -> Result<Classifier, ClassifyError> {
        let (checked, network) = (model.optimized(), &model.network().name);
        let pipeline = ImagePipeline::new(checked)?;
        if checked.network.preprocess.is_none() {
            return Err(ClassifyError::NoPreprocess { network: network.clone() });
        }
        let output = checked.graph().outputs().first().map(|(_, value)| checked.shape(*value));
        if let Some(shape) = output.filter(|shape| shape.dims().is_none_or(|dims| dims.len() != 1)) {
            return Err(ClassifyError::NotScores { network: network.clone(), shape: shape.to_string() });
        }
        let session = model.session_with(options)?;
        Ok(Classifier { session, pipeline })
    }

    /// The model.
    pub fn model(&self) -> &Model {
        self.session.model()
    }

    /// The `k` most probable classes of an image, most probable first; of equals the lower index.
    ///
    /// # Errors
    /// The image cannot be preprocessed, or the network's scores are not finite.
    pub fn classify(&mut self, image: &Image, k: usize) -> Result<Vec<Prediction>, ClassifyError> {
        self.classify_pixels(image.pixels.clone(), k)
    }

    /// As [`Classifier::classify`], of an image file.
    #[cfg(feature = "image")]
    pub fn classify_file(&mut self, path: impl AsRef<Path>, k: usize) -> Result<Vec<Prediction>, ClassifyError> {
        self.classify_pixels(Image::open(path)?.pixels, k)
    }

    fn classify_pixels(&mut self, pixels: Pixels, k: usize) -> Result<Vec<Prediction>, ClassifyError> {
        let input = self.pipeline.prepare(pixels)?;
        let probabilities = self.pipeline.probabilities(&mut self.session, &input)??;
        Ok(predictions(&probabilities, &self.session.model().network().labels, k))
    }

    /// As [`Classifier::classify`], of each of several images of any sizes. Worker threads preprocess the next images while the network
    /// runs. The results are those of each image alone, bit for bit.
    ///
    /// # Errors
    /// That of the first image that has one.
    pub fn classify_batch(&mut self, images: &[&Image], k: usize) -> Result<Vec<Vec<Prediction>>, ClassifyError> {
        let Classifier { session, pipeline } = self;
        let model = session.model().clone();
        let labels = &model.network().labels;
        let mut list = Vec::with_capacity(images.len());
        pipeline.run(
            session,
            images.len(),
            |index| pipeline.prepare(images[index].pixels.clone()),
            |_, answer| {
                let probabilities = answer?;
                list.push(predictions(&probabilities, labels, k));
                Ok::<(), ClassifyError>(())
            },
        )?;
        Ok(list)
    }
}

impl<R: Into<ClassifyError>> From<Unanswered<R>> for ClassifyError {
    fn from(unanswered: Unanswered<R>) -> ClassifyError {
        match unanswered {
            Unanswered::Unread(error) => error.into(),
            Unanswered::NotFinite(error) => error.into(),
        }
    }
}

fn predictions(probabilities: &[f32], labels: &[String], k: usize) -> Vec<Prediction> {
    let prediction = |index: usize| {
        let class = labels.get(index).cloned().unwrap_or_else(|| index.to_string());
        Prediction { class, index, probability: probabilities[index] }
    };
    top_k(probabilities, k).into_iter().map(prediction).collect()
}
