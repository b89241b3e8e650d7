rm models/shared
