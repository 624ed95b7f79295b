//! Images in, the network's input out.

use std::path::Path;

use ndarray::ArrayD;

use super::super::failure::{Done, Failure};
use super::super::output::{Out, writable};
use super::args::Args;
use super::images::{named_images, pipeline, read};
use crate::formats::npy;

pub(super) fn run(args: &Args, to: &Path, out: &mut Out) -> Done {
    let paths = named_images(args, out)?;
    let (checked, files) = args.model.checked(out)?;
    writable([to], &[&files[..], &paths].concat())?;
    let pipeline = pipeline(&checked)?;
    let (mut values, mut first) = (Vec::new(), None);
    for path in &paths {
        let (more, size) = read(&pipeline, path).map_err(Failure::Input)?;
        let [_, height, width] = size;
        let [_, first_height, first_width] = *first.get_or_insert(size);
        if (height, width) != (first_height, first_width) {
            let path = path.display();
            return Err(Failure::Input(format!(
                "`{path}` is {height} x {width} after preprocessing, and those before it {first_height} x {first_width}: an array has one size"
            )));
        }
        values.extend(more);
    }
    let [channels, height, width] = first.unwrap_or([0; 3]);
    let array = ArrayD::from_shape_vec(vec![paths.len(), channels, height, width], values).map_err(Failure::input)?;
    npy::write(to, &array.view()).map_err(Failure::input)
}
