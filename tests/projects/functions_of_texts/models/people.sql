-- A column, not constants, so that the functions run on rows; the last row has nothing.
select * from (values
    (1, 'Robert', 'Rupert', ' Bob@Example.COM ', '020 7031 3000', 'GB', 'Flat 2, 12 High Street', 'sw1a 1aa'),
    (2, 'Schmidt', 'Smith', 'no address', '+1 (212) 555-0100', 'GB', 'Hauptstr. 5', '94103-1234'),
    (3, null, null, null, null, null, null, null)
) as t (id, one, other, email, phone, country, street, postcode)
