rm models/schema.yml
