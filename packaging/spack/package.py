"""Polyview for Spack: copy to packages/polyview/package.py of a repository of your own, then, in a
checkout, `spack dev-build polyview@main`; or `make dist VERSION=main` and `spack install`."""

import os

from spack_repo.builtin.build_systems.makefile import MakefilePackage

from spack.package import *


class Polyview(MakefilePackage):
    """Fits very large sets of implicit neural representations, and trains networks on them."""

    homepage = "README.md"
    url = f"file://{os.getcwd()}/build/polyview-main.tar.gz"
    manual_download = True

    license("BSD-3-Clause")

    version("main")

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("mpi")
    depends_on("hdf5@1.10: +mpi")
    depends_on("netlib-scalapack")
    depends_on("openblas threads=none")  # every rank is one thread
    depends_on("random123")
    depends_on("xxhash@0.8:")
    depends_on("libyaml")
    depends_on("jansson")
    depends_on("zlib-api")
    depends_on("libpng")
    depends_on("libjpeg-turbo")
    depends_on("assimp")
    depends_on("embree@3")

    @property
    def build_targets(self):
        spec = self.spec
        return [
            f"MPICC={spec['mpi'].mpicc}",
            f"HDF5_DIR={spec['hdf5'].prefix}",
            f"SCALAPACK_DIR={spec['netlib-scalapack'].prefix}",
            f"OPENBLAS_DIR={spec['openblas'].prefix}",
            f"RANDOM123_DIR={spec['random123'].prefix}",
            f"XXHASH_DIR={spec['xxhash'].prefix}",
            f"YAML_DIR={spec['libyaml'].prefix}",
            f"JANSSON_DIR={spec['jansson'].prefix}",
            f"ZLIB_DIR={spec['zlib-api'].prefix}",
            f"PNG_DIR={spec['libpng'].prefix}",
            f"JPEG_DIR={spec['libjpeg-turbo'].prefix}",
            f"ASSIMP_DIR={spec['assimp'].prefix}",
            f"EMBREE_DIR={spec['embree'].prefix}",
        ]

    @property
    def install_targets(self):
        return [*self.build_targets, f"PREFIX={self.prefix}", "install"]

    def setup_run_environment(self, env):
        env.set("POLYVIEW_HOME", self.prefix.share.polyview)  # where the job files find themselves
