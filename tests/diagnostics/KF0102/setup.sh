# A link to a file that is not there.
ln -s ../shared/schema.yml models/schema.yml
