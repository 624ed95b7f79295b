//! Image in, named classes out.

use std::fmt;
use std::path::Path;

use super::error::{Error, ErrorKind};
use super::model::{self, Model};
use super::options::SessionOptions;
use crate::infer;

/// Classifies images: preprocessing, the network, softmax, and the names of the classes.
///
/// It belongs to one thread, as a [`Session`](crate::Session) does. A [`Model`] is cheap to clone, so that a server can have a
/// classifier in each of its threads. The results are those of `resnetc run`, bit for bit.
///
/// ```
/// use resnetc::{Classifier, Image};
///
/// # fn main() -> Result<(), resnetc::Error> {
/// let mut classifier = Classifier::load("models/fashion.resnet")?;
/// // a gray image of 28 x 28 pixels, all black
/// let image = Image::from_gray(28, 28, vec![0; 28 * 28])?;
/// let best = classifier.classify(&image, 3)?;
/// assert_eq!(best.len(), 3);
/// println!("{} ({:.1} %)", best[0].class, 100.0 * best[0].probability);
/// # Ok(())
/// # }
/// ```
///
/// From a file, with the feature `image`:
///
/// ```
/// # #[cfg(feature = "image")] {
/// use resnetc::Classifier;
///
/// let best = Classifier::load("models/fashion.resnet")?.classify_file("tests/data/ankle-boot.png", 5)?;
/// assert_eq!(best[0].class, "Ankle boot");
/// # }
/// # Ok::<(), resnetc::Error>(())
/// ```
pub struct Classifier {
    classifier: infer::Classifier,
}

/// A class, and how probable it is.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// The name of the class; its index if the network has no class names.
    pub class: String,
    /// The index of the class.
    pub index: usize,
    /// From 0 to 1.
    pub probability: f32,
}

impl Classifier {
    /// Loads an artifact (`.rnx`), or a source (`.resnet`) that names its weights. For one of several networks, or for other weights,
    /// use [`compile`](crate::compile) and [`Classifier::new`].
    ///
    /// # Errors
    /// The file or its weights cannot be read; or see [`Classifier::new`].
    pub fn load(path: impl AsRef<Path>) -> Result<Classifier, Error> {
        Classifier::new(model::load_any(path.as_ref())?)
    }

    /// A classifier that uses as many threads as the process may.
    ///
    /// # Errors
    /// The network does not read one image, has no `preprocess`, or does not return a vector of scores.
    pub fn new(model: Model) -> Result<Classifier, Error> {
        Classifier::with_options(model, SessionOptions::default())
    }

    /// Like [`Classifier::new`], with the given options.
    pub fn with_options(model: Model, options: SessionOptions) -> Result<Classifier, Error> {
        let classifier = infer::Classifier::with_options(model.model, options.lower()?);
        Ok(Classifier { classifier: classifier.map_err(Error::classify)? })
    }

    /// The `k` most probable classes of an image, the most probable first.
    ///
    /// # Errors
    /// The image cannot be preprocessed, or the network's scores are NaN or infinite.
    pub fn classify(&mut self, image: &Image, k: usize) -> Result<Vec<Prediction>, Error> {
        Ok(predictions(self.classifier.classify(&image.image, k).map_err(Error::classify)?))
    }

    /// Like [`Classifier::classify`], for an image file.
    #[cfg(feature = "image")]
    pub fn classify_file(&mut self, path: impl AsRef<Path>, k: usize) -> Result<Vec<Prediction>, Error> {
        Ok(predictions(self.classifier.classify_file(path, k).map_err(Error::classify)?))
    }

    /// Like [`Classifier::classify`], for several images of any sizes. Worker threads preprocess the next images while the network
    /// runs. The results are the same as for each image alone, bit for bit.
    ///
    /// # Errors
    /// The error of the first image that has one.
    pub fn classify_batch<'i>(
        &mut self,
        images: impl IntoIterator<Item = &'i Image>,
        k: usize,
    ) -> Result<Vec<Vec<Prediction>>, Error> {
        let images: Vec<&infer::Image> = images.into_iter().map(|image| &image.image).collect();
        let lists = self.classifier.classify_batch(&images, k).map_err(Error::classify)?;
        Ok(lists.into_iter().map(predictions).collect())
    }
}

impl fmt::Debug for Classifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Classifier").finish_non_exhaustive()
    }
}

fn predictions(list: Vec<infer::Prediction>) -> Vec<Prediction> {
    let convert = |infer::Prediction { class, index, probability }| Prediction { class, index, probability };
    list.into_iter().map(convert).collect()
}

/// An image: from a file, from the bytes of one, or from pixels.
///
/// Decoding files needs the feature `image`; images of pixels do not.
///
/// ```
/// use resnetc::Image;
///
/// // a red and a blue pixel
/// let image = Image::from_rgb(2, 1, vec![255, 0, 0, 0, 0, 255])?;
/// assert_eq!((image.width(), image.height()), (2, 1));
/// # Ok::<(), resnetc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    image: infer::Image,
}

impl Image {
    /// Reads an image file.
    #[cfg(feature = "image")]
    pub fn open(path: impl AsRef<Path>) -> Result<Image, Error> {
        Ok(Image { image: infer::Image::open(path).map_err(Error::image)? })
    }

    /// Decodes the bytes of an image file.
    #[cfg(feature = "image")]
    pub fn decode(bytes: &[u8]) -> Result<Image, Error> {
        Ok(Image { image: infer::Image::decode(bytes).map_err(Error::image)? })
    }

    /// An image of red, green and blue bytes: 3 per pixel, rows from the top.
    ///
    /// # Errors
    /// `data` does not have `width * height * 3` bytes, or is empty.
    pub fn from_rgb(width: usize, height: usize, data: Vec<u8>) -> Result<Image, Error> {
        Image::new(infer::Image::from_rgb(width, height, data))
    }

    /// A gray image: one byte per pixel, rows from the top.
    ///
    /// # Errors
    /// `data` does not have `width * height` bytes, or is empty.
    pub fn from_gray(width: usize, height: usize, data: Vec<u8>) -> Result<Image, Error> {
        Image::new(infer::Image::from_gray(width, height, data))
    }

    fn new(image: Result<infer::Image, infer::PixelsError>) -> Result<Image, Error> {
        Ok(Image { image: image.map_err(|error| Error::new(ErrorKind::Input, error))? })
    }

    /// The width in pixels.
    pub fn width(&self) -> usize {
        self.image.width()
    }

    /// The height in pixels.
    pub fn height(&self) -> usize {
        self.image.height()
    }
}
