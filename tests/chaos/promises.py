"""The promises, by the words that say they are broken."""

LOST = "committed points are lost"
DOUBLED = "points are visible twice"
UNEQUAL = "the final weights differ"
UNCOMMITTED = "a committed checkpoint is damaged"
STUCK = "the run did not come to its end"
