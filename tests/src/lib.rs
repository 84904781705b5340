//! Black-box tests of Lictor
