//! What the table cannot show in a line: each a command of its own that prints a table.

pub mod cold;
pub mod growth;
pub mod instructions;
pub mod profile;
pub mod rolls;
pub mod syscalls;
pub mod tail;
