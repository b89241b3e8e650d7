ln -s ../models models/shared
