"""Pictures of a world. Nothing here loads the drawing library until the first picture is painted."""
