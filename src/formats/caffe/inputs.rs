//! The inputs of a network: `Input` layers, and layers that read a dataset.

use super::fields::Fields;
use super::importer::{Blob, Imported, Importer};
use super::net::Layer;
use crate::ir::{Channels, Preprocess, Resampling};

impl Importer<'_> {
    /// The inputs of a layer without `bottom`.
    pub(super) fn inputs(&mut self, layer: &Layer<'_>) -> Imported<Vec<Blob>> {
        let sizes = declared(layer)?;
        let mut blobs = Vec::new();
        for (index, name) in layer.tops.iter().enumerate() {
            // the second result of a dataset are its labels
            let is_label = index > 0 && !matches!(layer.kind, "Input" | "DummyData");
            if is_label {
                blobs.push(Blob::Labels);
                continue;
            }
            // a single shape is that of every result
            let sizes = sizes.get(index).or_else(|| sizes.first().filter(|_| sizes.len() == 1));
            let sizes = sizes.ok_or_else(|| format!("it does not state the size of `{name}`"))?;
            let Some((&batch, own)) = sizes.split_first().filter(|(_, own)| (1..=3).contains(&own.len())) else {
                return Err(format!("its sizes are {sizes:?}, but must be those of the batch and one to three more"));
            };
            if batch > 1 {
                self.notes.insert(format!("the file's batch is {batch}; here it is free"));
            }
            // a list of features is written as channels x 1 x 1 too
            blobs.push(Blob::Value(self.build.input(name, own)?, false));
        }
        if blobs.is_empty() {
            return Err("it has no `top`".to_owned());
        }
        self.preprocess = self.preprocess.take().or(preprocess(layer, &mut self.notes)?);
        Ok(blobs)
    }
}

/// The sizes that a layer states, with the batch.
fn declared(layer: &Layer<'_>) -> Imported<Vec<Vec<usize>>> {
    let shapes = |param: Fields<'_>| param.messages("shape").map(|shape| shape.sizes("dim")).collect::<Imported<Vec<_>>>();
    match layer.kind {
        "Input" if !layer.sizes.is_empty() => Ok(vec![layer.sizes.clone()]),
        "Input" => shapes(layer.param("input_param")),
        "DummyData" => shapes(layer.param("dummy_data_param")),
        "MemoryData" => {
            let param = layer.param("memory_data_param");
            let size = |name: &str| Ok(param.size(name)?.unwrap_or(0));
            let sizes = ["batch_size", "channels", "height", "width"].map(size).into_iter().collect::<Imported<Vec<_>>>()?;
            Ok(vec![sizes])
        }
        _ => {
            let transform = layer.param("transform_param");
            let crop = transform.size("crop_size")?.or(former(layer).size("crop_size")?).filter(|&size| size > 0);
            let crop = crop.ok_or(
                "it reads a dataset, and the text does not say how large the images are: import the network's `deploy.prototxt`, \
                 which has an `Input` layer, or add a `crop_size`",
            )?;
            let channels = if transform.flag("force_gray", false)? { 1 } else { 3 };
            Ok(vec![vec![1, channels, crop, crop]])
        }
    }
}

/// The parameters of the layer itself, which had those of the transformation in earlier files.
fn former<'m>(layer: &Layer<'m>) -> Fields<'m> {
    layer.param(if layer.kind == "ImageData" { "image_data_param" } else { "data_param" })
}

/// What a user must know to run a network on images, of which most files say nothing.
pub(super) const ABOUT_IMAGES: &str = "the file does not say how images become inputs. Networks of Caffe read blue, green, red \
                                       from 0 to 255, minus a mean: with that of VGG, add `preprocess { channels: bgr, mean: \
                                       [103.939 / 255, 116.779 / 255, 123.68 / 255], std: [1.0 / 255, 1.0 / 255, 1.0 / 255] }`; \
                                       `--mean` reads that of a `.binaryproto`";

/// That a text names a mean image.
pub(super) const NO_MEAN_IMAGE: &str =
    "the mean image of the file is left out: Caffe has it in a file of its own, which `--mean` reads";

/// How images become inputs: Caffe reads channels as blue, green, red, from 0 to 255, subtracts a mean and multiplies by a scale.
fn preprocess(layer: &Layer<'_>, notes: &mut std::collections::BTreeSet<String>) -> Imported<Option<Preprocess>> {
    let transform = layer.param("transform_param");
    let has_image = transform.word("mean_file").or(former(layer).word("mean_file")).is_some();
    if has_image {
        notes.insert(NO_MEAN_IMAGE.to_owned());
    }
    let (means, scale) = (transform.floats("mean_value")?, transform.float("scale", 1.0)?);
    let scale = if scale == 1.0 { former(layer).float("scale", 1.0)? } else { scale };
    let count = if transform.flag("force_gray", false)? { 1 } else { 3 };
    if means.is_empty() && scale == 1.0 || scale <= 0.0 {
        return Ok(None);
    }
    let mean = |channel: usize| means.get(channel).or(means.first()).copied().unwrap_or(0.0) / 255.0;
    Ok(Some(Preprocess {
        resize: None,
        crop: None,
        interpolation: Resampling::Bilinear,
        channels: if count == 1 { Channels::Gray } else { Channels::Bgr },
        mean: (0..count).map(mean).collect(),
        std: vec![1.0 / (255.0 * scale); count],
        mean_from: None,
    }))
}
