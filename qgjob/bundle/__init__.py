"""The test bundle: the tests and what lies beside them, packed for a machine far away.

`collect_tests` says which tests were meant and where the bundle's root is; `build_bundle` packs the root;
`pack_folder` packs a build that is a folder. Blocking, quick, and without the bus.
"""

from qgjob.bundle.packing import DEFAULT_LIMIT, Bundle, build_bundle, pack_folder
from qgjob.bundle.selection import Selection, collect_tests

__all__ = ["DEFAULT_LIMIT", "Bundle", "Selection", "build_bundle", "collect_tests", "pack_folder"]
