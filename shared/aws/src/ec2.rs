//! EC2: reading instances (`Ec2Compute`) and changing them (`Ec2Actuator`).

mod actuator;
mod compute;
mod read;
#[cfg(test)]
mod tests;

pub use actuator::Ec2Actuator;
pub use compute::Ec2Compute;
