"""Reports of a run for people and for CI: JUnit, HTML, Markdown, annotations. Pure: from views to text."""
