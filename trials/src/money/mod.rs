//! Wallets and payments on a disk that crashes, and a way to the card gateway on which requests and answers get lost.

pub mod account;
pub mod books;
pub mod course;
pub mod deeds;
pub mod desk;
pub mod road;
pub mod till;
