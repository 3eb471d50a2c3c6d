// The version of rsw, which the tool prints and files that it makes may name.

/// The version of this package.
package let rswVersion = "0.1.0"
