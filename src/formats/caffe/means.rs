//! The mean image of a dataset, which Caffe subtracts from images: a `.binaryproto`, which is a single `BlobProto`, or a `.npy`.

use std::path::Path;

use super::super::layer_list::{ImportedLayers, LayersError};
use super::super::npy;
use super::blobs::blob;
use super::inputs::{ABOUT_IMAGES, NO_MEAN_IMAGE};
use crate::base::mmap::Bytes;
use crate::base::tensor::Tensor;
use crate::ir::{Channels, Op, Preprocess, Resampling};

/// What a user must know about a text that states no scale.
const NO_SCALE: &str = ", and assumes a scale of 1, since the file states none: if the program that calls Caffe sets another one \
                        (`set_input_scale`; 0.017 for MobileNets), divide each `std` by it";

/// States the preprocessing of a network: its channels as blue, green, red from 0 to 255, minus the averages of a mean image, as Caffe's
/// examples for Python do. An input that is not cropped from the mean's own images could not subtract the image itself.
pub fn add_mean(imported: &mut ImportedLayers, path: &Path) -> Result<(), LayersError> {
    let wrong = |reason: String| LayersError::Mean { path: path.to_owned(), reason };
    let image = image(path)?;
    let [channels, height, width] = sizes(image.shape()).ok_or_else(|| {
        wrong(format!("its sizes are {:?}, but a mean image has channels, a height and a width", image.shape()))
    })?;
    let mut images = imported.graph.inputs().iter().filter_map(|&input| match &imported.graph.node(input).op {
        Op::Input(shape) if shape.map().is_some_and(|map| map.len() == 2) => shape.channels(),
        _ => None,
    });
    let reads = images.next().ok_or_else(|| wrong("the network reads no images".to_owned()))?;
    let order = match channels {
        1 => Channels::Gray,
        3 => Channels::Bgr,
        _ => return Err(wrong(format!("it has {channels} channels, but images have 1 or 3"))),
    };
    if reads != channels {
        return Err(wrong(format!("it has {channels} channels, but the network reads {reads}")));
    }
    let values = image.to_f32();
    let mean: Vec<f32> = values.chunks_exact(height * width).map(average).collect();
    if mean.iter().any(|mean| !mean.is_finite()) {
        return Err(wrong("its values are not finite".to_owned()));
    }
    // a scale that the text states stays
    let stated = imported.preprocess.take().map(|how| how.std);
    let scale = if stated.is_some() { "" } else { NO_SCALE };
    let std = stated.unwrap_or_else(|| vec![1.0 / 255.0; channels]);
    let mean = mean.into_iter().map(|mean| mean / 255.0).collect();
    imported.preprocess = Some(Preprocess {
        resize: None,
        crop: None,
        interpolation: Resampling::Bilinear,
        channels: order,
        mean,
        std,
        mean_from: None,
    });
    imported.notes.retain(|note| note != ABOUT_IMAGES && note != NO_MEAN_IMAGE);
    imported
        .notes
        .push(format!("`preprocess` subtracts the averages of the mean image of {height} x {width}, not the image{scale}"));
    Ok(())
}

fn image(path: &Path) -> Result<Tensor, LayersError> {
    let wrong = |reason: String| LayersError::Mean { path: path.to_owned(), reason };
    let file = Bytes::map(path).map_err(|source| LayersError::Io { path: path.to_owned(), source })?;
    if file.starts_with(b"\x93NUMPY") {
        return npy::read_tensor(path).map_err(|error| wrong(error.to_string()));
    }
    blob(&file, &file).map_err(|reason| wrong(format!("{reason} (a mean image is a `.binaryproto` or a `.npy`)")))
}

/// Channels, height and width, each at least 1.
fn sizes(shape: &[usize]) -> Option<[usize; 3]> {
    let own = match *shape {
        [1, ref rest @ ..] if rest.len() == 3 => rest,
        ref all => all,
    };
    <[usize; 3]>::try_from(own).ok().filter(|sizes| !sizes.contains(&0))
}

fn average(values: &[f32]) -> f32 {
    (values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64) as f32
}
