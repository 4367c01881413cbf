//! Wallets and payments on a disk that crashes, and a way to the card gateway on which requests and answers get lost.

pub mod books;
pub mod road;
pub mod till;
