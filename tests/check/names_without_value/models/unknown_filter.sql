SELECT {{ 'a' | uper }} AS a
