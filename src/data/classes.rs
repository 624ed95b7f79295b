//! The class of a folder of images: by the network's class names, by ImageNet's synsets, or by its position among the sorted folders.

use super::{DatasetOptions, FolderError};
use crate::ir::imagenet;

/// The classes of a dataset's folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Classes {
    /// The class index of each folder.
    pub indices: Vec<usize>,
    /// The class names, by index.
    pub names: Vec<String>,
}

/// Assigns a class to each folder; the names must be sorted. `options` holds the network's class names (possibly none) and its number of outputs.
/// Folders with other names are an error if `strict` is set; otherwise they are numbered in order.
pub(super) fn classes(folders: &[String], options: &DatasetOptions<'_>) -> Result<Classes, FolderError> {
    let (class_names, outputs) = (options.class_names, options.classes);
    let names = || if class_names.is_empty() { imagenet::names() } else { class_names.to_vec() };
    if let Some(indices) = by_class_name(folders, class_names)? {
        return Ok(Classes { indices, names: class_names.to_vec() });
    }
    if outputs == Some(imagenet::classes().len())
        && let Some(indices) = by_synset(folders)?
    {
        return Ok(Classes { indices, names: names() });
    }
    if let Some(folder) = folders.first().filter(|_| options.strict) {
        return Err(unknown(folder, class_names));
    }
    Ok(Classes { indices: (0..folders.len()).collect(), names: folders.to_vec() })
}

/// By class names, if at least one folder is named like a class. A class name may also begin with its synset, as the lines of
/// `LOC_synset_mapping.txt` do. Case is ignored for a folder that has no class of its exact name, if only one class and one folder are
/// called so: file systems change it. (ImageNet has a `Cardigan`, the dog, and a `cardigan`.)
fn by_class_name(folders: &[String], class_names: &[String]) -> Result<Option<Vec<usize>>, FolderError> {
    let begins = |name: &str, folder: &str| name.split_once(' ').is_some_and(|(first, _)| first == folder);
    let is = |name: &str, folder: &str| name == folder || (imagenet::is_synset(folder) && begins(name, folder));
    let lower = |names: &[String]| names.iter().map(|name| name.to_lowercase()).collect::<Vec<String>>();
    let (low_folders, low_names) = (lower(folders), lower(class_names));
    let only = |list: &[String], name: &str| {
        let mut found = list.iter().enumerate().filter(|(_, other)| *other == name).map(|(index, _)| index);
        found.next().filter(|_| found.next().is_none())
    };
    let class = |(folder, low): (&String, &String)| {
        let exact = class_names.iter().position(|name| is(name, folder));
        exact.or_else(|| only(&low_folders, low).and_then(|_| only(&low_names, low)))
    };
    let found: Vec<Option<usize>> = folders.iter().zip(&low_folders).map(class).collect();
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    let known = |(folder, class): (&String, &Option<usize>)| class.ok_or_else(|| unknown(folder, class_names));
    folders.iter().zip(&found).map(known).collect::<Result<_, _>>().map(Some)
}

fn unknown(folder: &str, class_names: &[String]) -> FolderError {
    let names = class_names.iter().take(12).cloned().collect::<Vec<_>>().join(", ");
    FolderError::UnknownClass { folder: folder.to_owned(), names }
}

/// By ImageNet's synsets, if at least one folder is named like one; not all classes need a folder. But a thousand folders that are not all
/// ImageNet's are a custom set of classes.
fn by_synset(folders: &[String]) -> Result<Option<Vec<usize>>, FolderError> {
    let known = folders.iter().filter(|folder| imagenet::index(folder).is_some()).count();
    if known == 0 || (known < folders.len() && folders.len() >= imagenet::classes().len()) {
        return Ok(None);
    }
    let class = |folder: &String| imagenet::index(folder).ok_or_else(|| FolderError::UnknownSynset { folder: folder.clone() });
    folders.iter().map(class).collect::<Result<_, _>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(class_names: &[String], classes: Option<usize>) -> DatasetOptions<'_> {
        DatasetOptions { class_names, classes, ..DatasetOptions::default() }
    }

    fn list(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn indices(folders: &[&str], class_names: &[String], outputs: usize) -> Vec<usize> {
        classes(&list(folders), &options(class_names, Some(outputs))).unwrap().indices
    }

    #[test]
    fn folders_named_like_synsets_are_imagenet_classes() {
        let found = classes(&list(&["n01443537", "n02099601", "n15075141"]), &options(&[], Some(1000))).unwrap();
        assert_eq!(found.indices, [1, 207, 999]);
        assert_eq!(found.names[207], "golden retriever");
        // also with their class names given, and with folders named like the classes
        assert_eq!(indices(&["n02099601"], &imagenet::names(), 1000), [207]);
        assert_eq!(indices(&["golden retriever"], &imagenet::names(), 1000), [207]);
        // a network with another number of outputs numbers them, as torchvision does
        assert_eq!(indices(&["n01443537", "n02099601"], &[], 10), [0, 1]);
        let unknown = classes(&list(&["n01443537", "n99999999"]), &options(&[], Some(1000)));
        assert!(matches!(unknown, Err(FolderError::UnknownSynset { folder }) if folder == "n99999999"));
        assert_eq!(indices(&["n99999998", "n99999999"], &[], 1000), [0, 1]);
    }

    #[test]
    fn case_is_ignored_where_that_is_no_choice() {
        let class_names = list(&["dog", "cat", "Cardigan", "cardigan"]);
        assert_eq!(indices(&["Cat", "DOG"], &class_names, 4), [1, 0]);
        assert_eq!(indices(&["Cat", "cardigan"], &class_names, 4), [1, 3]);
        // two classes, or two folders, are called so
        for folders in [&["CARDIGAN", "cat"][..], &["Cat", "cat"]] {
            let wrong = classes(&list(folders), &options(&class_names, Some(4)));
            assert!(matches!(wrong, Err(FolderError::UnknownClass { folder, .. }) if folder == folders[0]));
        }
        assert_eq!(indices(&["Cat", "cat"], &[], 2), [0, 1]);
    }

    #[test]
    fn all_thousand_folders_are_numbered_in_order() {
        let mut all: Vec<String> = imagenet::classes().iter().map(|class| class.synset.to_owned()).collect();
        let counted: Vec<usize> = (0..1000).collect();
        assert_eq!(classes(&all, &options(&[], Some(1000))).unwrap().indices, counted);
        all[999] = "n99999999".to_owned();
        let own = classes(&all, &options(&[], Some(1000))).unwrap();
        assert_eq!((own.indices, own.names), (counted, all));
    }

    #[test]
    fn class_names_may_begin_with_their_synsets() {
        let class_names = list(&["n02099601 golden retriever", "n01443537 goldfish, Carassius auratus"]);
        assert_eq!(indices(&["n01443537", "n02099601"], &class_names, 2), [1, 0]);
        let unknown = classes(&list(&["n01443537", "n01440764"]), &options(&class_names, Some(2)));
        assert!(matches!(unknown, Err(FolderError::UnknownClass { .. })));
    }
}
