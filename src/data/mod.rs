//! Images, preprocessing, datasets.
