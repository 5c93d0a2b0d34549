"""Take a particle into a simulation: a tetrahedral mesh with one named set per grain, checked against the voxels.

The same record is written for Gmsh (.msh) and as an image for VTK (.vtk), and both are read back by other programs.
"""

import sys
from pathlib import Path

import meshio
import numpy as np
import pyvista

import nmcdist
from nmcdist.bundle import save_bundle

VOXEL_NM = 150.0


def main(folder: Path) -> None:
    """Make one small particle, export it twice, compare the volumes of its grains, save a picture."""
    small = nmcdist.load_bundle("nmc811-radial").with_parameters(shell_scale_nm=8000.0, shell_sigma=0.1)
    bundle = folder / "small-shells"
    if not bundle.exists():
        save_bundle(small, bundle)
    recipe = {
        "name": "one", "version": "1.0.0", "title": "One particle", "bundle": str(bundle), "seed": 3,
        "particles": {"count": 1},
    }  # fmt: skip
    store = nmcdist.run(recipe, folder, workers=0, resume=True).store
    how = {"voxel_size_nm": VOXEL_NM, "overwrite": True}
    mesh_file = nmcdist.export_item(store, 0, "msh", folder / "particle.msh", elements="tetrahedra", **how)
    image_file = nmcdist.export_item(store, 0, "vtk", folder / "particle.vtk", **how)

    mesh = meshio.read(mesh_file)
    grains = sorted(name for name in mesh.field_data if name.startswith("GRAIN_"))
    cells = mesh.points[mesh.cells_dict["tetra"]]
    volumes = np.abs(np.linalg.det(cells[:, 1:] - cells[:, :1])) / 6
    labels = pyvista.read(image_file).active_scalars
    print(f"{len(grains)} grains in {len(cells)} tetrahedra")
    print(f"volume of the mesh:   {volumes.sum() / 1e9:.4f} um^3")
    print(f"volume of the voxels: {np.count_nonzero(labels) * VOXEL_NM**3 / 1e9:.4f} um^3")

    # Cut the mesh open and colour it by grain.
    physical = mesh.cell_data_dict["gmsh:physical"]["tetra"]
    grid = pyvista.UnstructuredGrid({pyvista.CellType.TETRA: mesh.cells_dict["tetra"]}, mesh.points)
    grid.cell_data["grain"] = np.random.default_rng(1).permutation(physical.max() + 1)[physical]
    half = grid.clip("x", crinkle=True)
    plotter = pyvista.Plotter(off_screen=True, window_size=(800, 700))
    plotter.add_mesh(half, scalars="grain", cmap="turbo", show_edges=True, line_width=0.3, show_scalar_bar=False)
    plotter.view_vector((1.0, 0.3, 0.3))
    plotter.camera.zoom(1.3)
    plotter.screenshot(folder / "04_export_for_simulation.png")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
