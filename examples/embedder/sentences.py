"""What the embedder is trained on: short sentences of eight everyday subjects, a subject a paragraph."""

SENTENCES = """
The cat sleeps on the sofa. A kitten plays with a ball of wool. The dog barks at the cat. My dog fetches the ball in the garden. A puppy and a kitten sleep
in one basket. The cat chases a mouse through the garden. A dog needs a long walk every morning. The kitten drinks milk from a bowl. The puppy chews on a bone.
The dog and the cat are pets. A pet needs food, water and a warm basket. The vet looks after a sick dog. The vet gave my kitten a vaccine. The hamster is a small pet.
The parrot is a bird that talks. A bird sings in its cage. The rabbit eats a carrot in the garden. My cat purrs when I stroke its fur. The dog wags its tail.

Boil the pasta in salted water. Fry the onion in butter until it is golden. Bake the bread in a hot oven. Chop the onion and the garlic for the soup. Stir the soup and
add pepper and salt. Knead the dough and let it rise before you bake. A recipe for tomato soup needs garlic and basil. Roast the chicken in the oven with butter. Grill the fish
with lemon and pepper. Whisk the eggs with sugar for the cake. The cake bakes in the oven for an hour. Cook the rice in water with salt. Serve the pasta with
tomato sauce and cheese. The chef cooks dinner in the kitchen. A cook bakes bread and cake every morning. Melt the butter and the chocolate for the cake.

Rain falls from dark clouds. The sun shines in a blue sky. The forecast says rain and wind tomorrow. Snow covers the hills in winter. A storm with strong wind and
thunder comes tonight. The weather is warm and sunny today. It will be cold and cloudy tomorrow. The temperature drops below zero in winter. Fog hides the hills in the morning.
Lightning and thunder follow the heavy rain. The wind blows the clouds away. A rainbow stands in the sky after the rain. Summer is hot and dry. Autumn is cool and rainy. The forecast
promises sun and a blue sky. The storm brings snow and ice. Hail and rain fall during the storm. The temperature rises in the sun.

I pay the invoice by bank transfer. The bank charges a fee for the transfer. My credit card was declined at the shop. The invoice shows the price and the tax. Send me a refund
for the payment. The refund comes to your bank account. The account balance is below zero. She saves money in a bank account. The price of the order includes tax. He pays with
cash or with a card. The bank lends money and asks for interest. A loan must be paid back with interest. The payment failed because the card expired. The invoice is
due and must be paid. The customer asks for money back. The shop gives a refund to the customer. My salary is paid into the account. The bill is too high, check the price.

The striker scores a goal in the match. The team wins the match by one goal. The goalkeeper saves the penalty. The coach trains the team every week. The referee gives a
penalty to the home team. Our team lost the final. The player kicks the ball into the goal. The fans sing in the stadium. The tennis player wins the set and the match. She runs a marathon in three hours. The
runner wins the race. The swimmer sets a record in the final. The league table shows which team leads. The coach picks the players for the game. The team
trains for the final game of the league. The cyclist wins the race in the hills. A foul gives the other team a penalty.

The program crashes when the file is missing. Restart the computer and install the update. The server does not answer the request. The laptop has a new screen and keyboard. A bug in
the code makes the program crash. The developer fixes the bug and tests the code. The password must be changed, log in again. I forgot my password and cannot log in. The
network is slow and the server is down. Save the file on the disk. The software update fixes the bug. The computer runs out of memory. The code is compiled and tested on the
server. The database stores the data on a disk. Install the software on your laptop. The browser shows an error for the page. The screen of the computer stays black. Reset the password of your account
on the server.

The train leaves the station at noon. The bus to the airport is late. Our flight was cancelled because of fog. I book a hotel and a flight. The plane lands at the airport. A ticket for
the train costs ten euros. The passenger waits at the station for the train. The hotel room has a view of the beach. We travel by train to the coast. The suitcase was lost at the airport. The
tourist visits the museum and the beach. A taxi drives us from the hotel to the station. The ferry takes cars to the island. The passport is checked at the border. The bus stops near the
hotel. The pilot flies the plane to the island. The holiday on the island was short. Book the ticket for the flight early.

The doctor examines the patient in the hospital. The nurse gives the patient a medicine. I have a headache and a fever. Take the medicine with water against the fever. The patient has a broken leg. The
dentist pulls a tooth. The flu causes fever and a cough. A vaccine protects against the flu. The surgeon operates on the heart. The doctor writes a prescription for the medicine. The pharmacy sells medicine and
plasters. My throat hurts and I cough. The nurse takes blood for a test. The patient recovers after the operation. Pain in the chest may come from the heart. The doctor treats the infection with
an antibiotic. Sleep and exercise are good for health. The hospital has beds for every patient.
"""


def paragraphs() -> list[list[str]]:
    """The sentences of each paragraph."""
    joined = [" ".join(paragraph.split()) for paragraph in SENTENCES.strip().split("\n\n")]
    return [[sentence + "." for sentence in text.removesuffix(".").split(". ")] for text in joined]
