"""SAM 3's memory tracker."""
