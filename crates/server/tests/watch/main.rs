//! Live clusters: the server against a double of the API server, through the real client.

mod both;
mod faults;
mod hosts;
mod lab;
mod life;
mod objects;
