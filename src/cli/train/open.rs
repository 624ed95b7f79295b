//! Everything a run is made of: the checked network, the parameters to begin with, the data.

use std::path::Path;
use std::sync::Arc;

use super::super::args::Select;
use super::super::classes::note_classes;
use super::super::open;
use super::super::output::{Failure, Out};
use crate::data::{self, Dataset, DatasetOptions, Split};
use crate::driver::{Frontend, Weights};
use crate::formats::weights;
use crate::ir::{Checked, Recipe};
use crate::runtime::ParamStore;
use crate::train::{self, Feed, GraphEngine};

/// Names of tensors that are listed.
const NAMED: usize = 8;

/// What the loop drives.
pub(super) struct Parts {
    pub engine: GraphEngine,
    pub train: Box<dyn Feed>,
    pub valid: Option<Box<dyn Feed>>,
    pub classes: usize,
}

impl Parts {
    pub fn new(
        checked: &Checked,
        params: &ParamStore,
        recipe: &Recipe,
        train: Arc<dyn Dataset>,
        valid: Option<Arc<dyn Dataset>>,
        threads: usize,
    ) -> Result<Parts, Failure> {
        let feed = |data, training| train::feed(data, checked, recipe, threads, training).map_err(Failure::input);
        Ok(Parts {
            train: feed(train, true)?,
            valid: valid.filter(|_| recipe.validate.is_some()).map(|data| feed(data, false)).transpose()?,
            engine: train::engine(checked, params, recipe, threads).map_err(Failure::input)?,
            classes: train::classes(checked).unwrap_or(0),
        })
    }
}

/// A source's network, checked; what is wrong with it is shown.
pub(in crate::cli) fn checked(file: &Path, select: &Select, out: &mut Out) -> Result<(Frontend, Checked), Failure> {
    if crate::formats::artifact::is_artifact(file) {
        return Err(Failure::Input(format!("`{}` is an artifact: training needs its source", file.display())));
    }
    let mut front = open::source(file)?;
    let checked = open::check(&mut front, select, out)?;
    Ok((front, checked))
}

/// The training data, and those to validate on.
#[allow(clippy::type_complexity, reason = "a pair of datasets")]
pub(in crate::cli) fn datasets(
    checked: &Checked,
    spec: &str,
    valid: Option<&str>,
    out: &Out,
) -> Result<(Arc<dyn Dataset>, Option<Arc<dyn Dataset>>), Failure> {
    let options =
        DatasetOptions { class_names: &checked.network.labels, classes: train::classes(checked), ..DatasetOptions::default() };
    let train = data::open_dataset(spec, Split::Train, &options).map_err(Failure::input)?;
    note_classes(&*train, &checked.network.labels, train::classes(checked).unwrap_or(0), out);
    // a class has the number that it has in training, whatever folders there are
    let known = train.classes().to_vec();
    let options = match &known[..] {
        [] => options,
        known => DatasetOptions { class_names: known, strict: true, ..options },
    };
    let valid = match valid {
        Some(spec) => Some(data::open_dataset(spec, Split::Valid, &options).map_err(Failure::input)?),
        None => data::open_valid_split(spec, &options).map_err(Failure::input)?,
    };
    Ok((train, valid))
}

/// The parameters to begin with: those of a file that the command names, those of the recipe's, or drawn ones.
pub(super) fn beginning(
    checked: &Checked,
    front: &Frontend,
    recipe: &Recipe,
    given: Option<&Weights>,
    out: &mut Out,
) -> Result<ParamStore, Failure> {
    if let Some(Weights::File(_)) = given {
        return open::bind(checked, front, given, out);
    }
    let Some(from) = &recipe.from else {
        return Ok(train::init::initial_params(checked, recipe, None).map_err(Failure::input)?.params);
    };
    let tensors = weights::open(&from.path).map_err(Failure::input)?;
    let begun = train::init::initial_params(checked, recipe, Some((&tensors, &from.except))).map_err(Failure::input)?;
    let list = |names: &[String]| {
        let more = names.len().saturating_sub(NAMED);
        let first = names.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        if more > 0 { format!("{first} and {more} more") } else { first }
    };
    out.note(format_args!("{} tensors from {}", begun.params.len().saturating_sub(begun.random.len()), from.path.display()));
    if !begun.random.is_empty() {
        out.note(format_args!("drawn again: {}", list(&begun.random)));
    }
    if !begun.unused.is_empty() {
        out.note(format_args!("not used: {}", list(&begun.unused)));
    }
    Ok(begun.params)
}
