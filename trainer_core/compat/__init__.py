"""Import paths of other frameworks, mapped onto ours."""
