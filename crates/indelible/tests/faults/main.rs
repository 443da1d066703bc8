//! Faults as a caller over HTTP meets them: writes of the writer that fail, a server that stops, connections that wait.

mod client;
mod server;
mod stop;
mod writes;
