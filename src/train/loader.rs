//! A [`Feed`] that reads a dataset.

use std::sync::Arc;

use ndarray::Array4;

use super::{Feed, Loaded, TrainError};
use crate::data::{DataError, Dataset, Loader, LoaderOptions, Transform};
use crate::ir::{Checked, OnError, Recipe};

/// Reads a dataset as a recipe specifies.
pub struct LoaderFeed {
    loader: Loader,
}

impl LoaderFeed {
    /// For training, samples are shuffled and augmented as the recipe specifies; otherwise they are in the order of the dataset, preprocessed as
    /// in evaluation. `workers` threads prefetch; with 0, the calling thread reads. A dataset that does not fit the network is an error.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        checked: &Checked,
        recipe: &Recipe,
        workers: usize,
        training: bool,
    ) -> Result<LoaderFeed, TrainError> {
        let &[input] = checked.graph().inputs() else {
            return Err(TrainError::Recipe("the network has several inputs, but a sample has only one".to_owned()));
        };
        let augment = if training { &recipe.augment[..] } else { &[] };
        let transform = Transform::new(&*dataset, checked.shape(input), checked.network.preprocess.as_ref(), augment)?;
        transform.check_sizes(&*dataset, recipe.on_error == OnError::Skip, workers)?;
        let options = LoaderOptions {
            batch: recipe.batch,
            seed: recipe.seed,
            shuffle: training && recipe.shuffle,
            on_error: recipe.on_error,
            workers,
        };
        Ok(LoaderFeed { loader: Loader::new(dataset, transform, options) })
    }
}

impl Feed for LoaderFeed {
    fn samples(&self) -> usize {
        self.loader.dataset().len()
    }

    fn start(&mut self, epoch: u64, batch: u64) -> Result<(), TrainError> {
        self.loader.start(epoch, batch);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Loaded>, TrainError> {
        let Some(samples) = self.loader.next().transpose()? else { return Ok(None) };
        let [channels, height, width] = samples.size;
        let images = Array4::from_shape_vec((samples.labels.len(), channels, height, width), samples.values)
            .map_err(|error| DataError::Recipe(format!("a batch has an invalid shape: {error}")))?;
        Ok(Some(Loaded { images, labels: samples.labels, skipped: samples.skipped }))
    }
}
