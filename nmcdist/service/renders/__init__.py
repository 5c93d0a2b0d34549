"""Pictures, bricks and files of single items, made by a few processes beside the service and kept on the disk."""
