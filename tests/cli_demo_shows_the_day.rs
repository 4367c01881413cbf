//! `bitacora demo`, small: killed at work, it comes back, and its checks look at something and find nothing.

#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panicking")]

mod command;

use command::{Place, bitacora, values};

#[test]
fn a_small_day_with_two_kills_ends_with_nothing_wrong() {
    let place = Place::new();
    let folder = place.join("demo");
    let arguments = ["demo", "--dir", folder.to_str().unwrap(), "--payments", "200", "--kills", "2", "--json"];
    let assert = bitacora(arguments).assert().success();
    let shown = values(&assert.get_output().stdout).remove(0);
    assert_eq!(shown["kills"].as_array().unwrap().len(), 2, "{shown}");
    let checks = shown["checks"].as_array().unwrap();
    assert!(checks.len() >= 6);
    for check in checks {
        assert_eq!(check["found"], 0, "{check}");
        assert!(check["of"].as_u64().unwrap() > 0, "{check}");
    }
    let store = folder.join("store");
    bitacora(["verify", store.to_str().unwrap()]).assert().success();
    bitacora(["recover", store.to_str().unwrap(), "--check"]).assert().success();
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let place = Place::new();
    let folder = place.join("mine");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("photo.jpg"), "mine").unwrap();
    bitacora(["demo", "--dir", folder.to_str().unwrap()]).assert().code(2);
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
}
