"""What Stripe's account holds, a room for each family of objects: how they are made, changed and announced."""
