"""What would mend lost accuracy: changes of the recipe, each simulated on the data and ranked by its gain."""

from smidgen.search.fixes.assumed import assumed_recipe
from smidgen.search.fixes.candidates import Candidate, candidates
from smidgen.search.fixes.ranking import Fix, Fixes, Samples, ranked_fixes

__all__ = ["Candidate", "Fix", "Fixes", "Samples", "assumed_recipe", "candidates", "ranked_fixes"]
