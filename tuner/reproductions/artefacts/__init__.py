"""Tables and figures that the reproductions produce."""
