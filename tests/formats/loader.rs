//! What the training loop reads: a dataset on the disk, through the recipe, in batches.

use std::path::Path;
use std::sync::Arc;

use resnetc::internal::data::{Dataset, DatasetOptions, Split, open_dataset};
use resnetc::internal::driver::Frontend;
use resnetc::internal::ir::{Augment, Checked, Recipe};
use resnetc::internal::train::{Feed, Loaded, LoaderFeed};

const SAMPLES: usize = 50;

/// A network of 1 x 6 x 6 and three classes.
fn network(input: &str) -> Checked {
    let text = format!("resnet 1\nnetwork net() {{\n  input {input}\n  head {{ avgpool global\n  linear 3 }}\n}}\n");
    Frontend::text("net.resnet", &text).check("net", &[]).unwrap()
}

/// Images of 6 x 6 pixels, each of one gray and a white corner, with labels in turn.
fn dataset(folder: &Path) -> Arc<dyn Dataset> {
    let header = |sizes: &[u32]| {
        let sizes: Vec<u8> = sizes.iter().flat_map(|s| s.to_be_bytes()).collect();
        [&[0, 0, 8, (sizes.len() / 4) as u8], &sizes[..]].concat()
    };
    let pictures = (0..SAMPLES).flat_map(|i| std::iter::once(255).chain(std::iter::repeat_n(i as u8, 35)));
    let images: Vec<u8> = header(&[SAMPLES as u32, 6, 6]).into_iter().chain(pictures).collect();
    let labels: Vec<u8> = header(&[SAMPLES as u32]).into_iter().chain((0..SAMPLES).map(|i| (i % 3) as u8)).collect();
    std::fs::write(folder.join("train-images-idx3-ubyte"), images).unwrap();
    std::fs::write(folder.join("train-labels-idx1-ubyte"), labels).unwrap();
    let options = DatasetOptions { classes: Some(3), ..DatasetOptions::default() };
    open_dataset(&folder.display().to_string(), Split::Train, &options).unwrap()
}

fn recipe() -> Recipe {
    let augment = vec![Augment::PadCrop { pad: 2, crop: [6, 6] }, Augment::Flip { probability: 0.5 }];
    Recipe { batch: 8, augment, seed: 4, ..Recipe::default() }
}

fn epoch(feed: &mut LoaderFeed, epoch: u64, batch: u64) -> Vec<Loaded> {
    feed.start(epoch, batch).unwrap();
    std::iter::from_fn(|| feed.next().unwrap()).collect()
}

fn same(a: &[Loaded], b: &[Loaded]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.images == b.images && a.labels == b.labels)
}

/// What resuming to the same bits rests on.
#[test]
fn an_epoch_goes_on_where_it_was_left_with_any_number_of_workers() {
    let dir = tempfile::tempdir().unwrap();
    let (data, checked) = (dataset(dir.path()), network("1 x 6 x 6"));
    let feed = |workers| LoaderFeed::new(Arc::clone(&data), &checked, &recipe(), workers, true).unwrap();
    let whole = epoch(&mut feed(0), 3, 0);
    assert_eq!(whole.iter().map(|b| b.labels.len()).collect::<Vec<_>>(), [8, 8, 8, 8, 8, 8, 2]);
    assert_eq!(whole[0].images.shape(), [8, 1, 6, 6]);
    for workers in [0, 1, 3] {
        let mut feed = feed(workers);
        assert_eq!(feed.samples(), SAMPLES);
        assert!(same(&epoch(&mut feed, 3, 0), &whole));
        assert!(same(&epoch(&mut feed, 3, 5), &whole[5..]));
        assert!(!same(&epoch(&mut feed, 4, 0), &whole));
    }
    let other = LoaderFeed::new(Arc::clone(&data), &checked, &Recipe { seed: 5, ..recipe() }, 1, true);
    assert!(!same(&epoch(&mut other.unwrap(), 3, 0), &whole));
}

/// Without shuffling and without changes, and when measuring, the dataset comes as it is.
#[test]
fn samples_come_as_they_are_where_nothing_changes_them() {
    let dir = tempfile::tempdir().unwrap();
    let (data, checked) = (dataset(dir.path()), network("1 x 6 x 6"));
    let plain = Recipe { shuffle: false, augment: Vec::new(), ..recipe() };
    for (recipe, training) in [(plain, true), (recipe(), false)] {
        let mut feed = LoaderFeed::new(Arc::clone(&data), &checked, &recipe, 2, training).unwrap();
        let mut index = 0;
        for batch in epoch(&mut feed, 1, 0) {
            for (image, label) in batch.images.outer_iter().zip(&batch.labels) {
                assert_eq!((*label, image[[0, 0, 0]], image[[0, 5, 5]]), (index % 3, 1.0, index as f32 / 255.0));
                index += 1;
            }
        }
        assert_eq!(index as usize, SAMPLES);
    }
}

#[test]
fn pictures_of_another_size_are_told_before_the_first_step() {
    let dir = tempfile::tempdir().unwrap();
    let data = dataset(dir.path());
    let said = |input| LoaderFeed::new(Arc::clone(&data), &network(input), &recipe(), 1, true).err().unwrap().to_string();
    assert!(said("1 x 8 x 8").contains("the network reads 1 x 8 x 8"));
    let plain = Recipe { augment: Vec::new(), ..recipe() };
    let error = LoaderFeed::new(Arc::clone(&data), &network("3 x 8 x 8"), &plain, 1, true).err().unwrap().to_string();
    assert!(error.contains("[0]` is 6 x 6 pixels, but the network reads 8 x 8: resize"), "{error}");
}
